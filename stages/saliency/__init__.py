"""Saliency maps: Grad-CAM, other backends, the network behind them, and how good maps are."""
