"""Commands about keys, and how a passphrase reaches them."""
