"""What a pickle needs to be loaded, read from its opcodes; nothing in it is ever loaded."""
