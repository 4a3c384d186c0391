"""Pictures on their way to the model's input: read from files, turned upright, fitted, and digits as MNIST has them."""
