"""Experiments of notebook 12: which latents are best to generate in?"""
