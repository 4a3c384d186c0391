"""The wire: messages, frame encoding, codecs, errors. Knows tensors and bytes; no models, no sockets."""
