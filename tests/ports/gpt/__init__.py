"""A GPT as nanoGPT writes it: tied embeddings, packed q/k/v, AdamW in two groups, warmup, cosine and clipping."""
