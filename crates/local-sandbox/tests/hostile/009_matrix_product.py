# One product of matrices, inside a library during which Python hears no signal.
# expect: wall
# limits: wall=0.3
# off: limits wall=60 cpu=60
import numpy

side = numpy.arange(1200 * 1200).reshape(1200, 1200)
side @ side
reply("worked")
