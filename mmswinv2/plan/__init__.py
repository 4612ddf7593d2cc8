"""How much memory a training takes on each GPU, and what the GPUs send each other, told before it runs."""
