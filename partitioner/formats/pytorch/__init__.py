"""From PyTorch to a model that can be cut: any ``nn.Module`` through torch.export to ONNX, its layers still by name."""
