# Each process has all of the model: the default of several processes, without a second copy of the gradients.
strategy = dict(type="ddp")
