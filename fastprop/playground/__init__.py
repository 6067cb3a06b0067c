"""A local page on which a network trains live: ``fastprop playground``.

``datasets`` makes points in the plane or takes them from a table, ``session`` trains a network on them, and ``server``
lets one page on this machine show and control the training. The page is ``fastprop/playground/assets/playground.*``.
"""
