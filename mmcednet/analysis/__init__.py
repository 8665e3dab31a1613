"""Complexity (parameters, multiply-adds), fusion time and speed of networks."""
