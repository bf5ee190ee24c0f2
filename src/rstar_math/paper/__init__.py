"""The paper's tables and figures, made again at the scale at hand: `rstar reproduce`.

`laboratory` makes and measures models, each stage once; `tables` and `figures` say what stands in each table; `claims`
decides by intervals whether the paper's claims hold.
"""
