# answer: true
import random

import numpy as np

state = random.random(), np.random.rand()
reply(all(0 <= value < 1 for value in state))
