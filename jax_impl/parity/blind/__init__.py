"""Blind spots: mistakes that a passing ladder could not have seen, because of what was recorded.

`spots` finds them all. `training` reads the steps, `inputs` the batches and calls, `sizes` the sizes of images, and
`changes` tries the hypotheses of `causes` on a correct port: one that agrees with it cannot be told from the truth.
"""
