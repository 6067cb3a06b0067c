"""A local page on which a network trains live: ``fastprop playground``.

``datasets`` makes points in the plane or takes them from a table, ``session`` trains on them, ``server`` lets one page
on this machine see and steer it. The page itself is ``fastprop/playground/assets/playground.*``.
"""
