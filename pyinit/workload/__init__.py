"""A running child: started, handed everything over, and let go."""
