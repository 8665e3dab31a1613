"""ONNX files of trained models, with preprocessing and decoding inside."""
