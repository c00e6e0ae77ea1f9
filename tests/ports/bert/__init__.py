"""Hugging Face's BERT for classification, in torch and in Flax, from the same package."""
