"""Networks: train with SGD and natural gradients, and estimate learning coefficients you can trust."""
