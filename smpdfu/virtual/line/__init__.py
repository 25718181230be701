"""What a wire and a server's build cost: rate, delay, loss, buffers."""
