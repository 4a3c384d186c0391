"""Find a model's cuts, write its plan, and choose the best split of a plan.

Pure decisions: engines are passed in, nothing here opens a socket. Its rooms import downwards only: ``calibrate`` and
``resolve``, then ``api`` and ``zoo``, ``slicing``, ``formats``, ``explain`` and ``cuts``, ``profile``, ``decide``,
``plan``, ``graph``. A device at run time needs ``plan``, ``decide`` and ``profile``. Below it lie ``engines`` and
``proto``.
"""
