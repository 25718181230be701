"""Make an image: header, TLVs, encryption, compression, signature."""
