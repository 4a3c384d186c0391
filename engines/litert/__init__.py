"""Stages on LiteRT, and the checks that a TFLite file passes before its interpreter gets it.

``entry`` is what the registry loads. May import ``engines.interface``, ``proto``, ``system`` and the
package that brings the interpreter.
"""
