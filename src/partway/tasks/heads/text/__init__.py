"""Heads that read text: strings of CTC outputs, and lines of text in probability maps."""
