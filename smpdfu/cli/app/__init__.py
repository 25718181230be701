"""What every command shares: how it is declared, which device it means, what it prints, and how it ends."""
