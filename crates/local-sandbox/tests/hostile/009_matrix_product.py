# One product of matrices, inside a library during which Python hears no signal.
# expect: wall
# limits: wall=0.3
# off: limits wall=60 cpu=60
import numpy

side = numpy.arange(1500 * 1500).reshape(1500, 1500)
side @ side
reply("worked")
