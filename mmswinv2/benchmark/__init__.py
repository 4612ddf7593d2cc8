"""Speed and memory of SwinV2 in several libraries, side by side: ``mmswinv2 benchmark``.

:mod:`.cases` says what is measured, :mod:`.contenders` who is measured, all with the weights of :mod:`.weights`.
:mod:`.steps` and :mod:`.whole_models` make the step that is timed. :mod:`.worker` is the process of one contender,
:mod:`.rounds` lets the processes take turns. :mod:`.parts` and :mod:`.machine` give the scale: the parts of the model
alone, and what the machine can do. :mod:`.results` keeps what was measured, :mod:`.report` and :mod:`.plots` show it.
"""
