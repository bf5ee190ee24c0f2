"""Many machines: units of work that are taken for a time, over a shared folder or over Ray.

Ownership lies in the files of the run: what a driver has written into them is done, and a cluster only carries work
there. A tree is a function of its problem, its seed, the models and the settings, so doing it twice is harmless;
whoever dies loses what was in flight and nothing else.
"""
