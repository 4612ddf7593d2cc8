# FSDP2: each process keeps its share of parameters, gradients and AdamW's moments, 16 bytes a parameter, and gathers a
# block while it computes.
strategy = dict(type="fsdp2")
