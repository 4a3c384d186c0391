"""Training of the models that ship in the zoo, from public data to an ONNX file, for anyone to repeat. Needs torch.

It imports ``zoo.idx`` only; nothing else imports it but its command line.
"""
