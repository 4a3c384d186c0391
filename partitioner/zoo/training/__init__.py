"""Training of the models shipped in the zoo, from public data to an ONNX file, for anyone to repeat."""
