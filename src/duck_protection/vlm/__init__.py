"""Eyes: everything that can be asked about a picture, behind one seam (base.py)."""
