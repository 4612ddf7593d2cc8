# ZeRO-1, as the paper's models were trained: each process keeps AdamW's two moments, 8 bytes a parameter, for its share
# of the parameters. The rest is as in ddp.py.
strategy = dict(type="zero1")
