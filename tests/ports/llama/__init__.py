"""A decoder as Llama and Mistral have it: RMSNorm, rotary positions, grouped queries, a sliding window, SwiGLU."""
