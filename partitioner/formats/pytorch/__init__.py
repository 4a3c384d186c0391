"""PyTorch modules and exported programs: traced with an example and written as an ONNX file. Needs torch.

It imports errors only: it turns a module into a file, which ``formats.onnx`` reads.
"""
