"""What a training or an evaluation shows of a model: pictures, curves and tables of each class."""
