"""What an environment file asks for, and what may be had."""
