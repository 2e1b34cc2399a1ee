# answer: ["alarm", true]
import resource
import signal

heard = []
signal.signal(signal.SIGUSR1, lambda *_: heard.append("alarm"))
signal.raise_signal(signal.SIGUSR1)
room = resource.getrlimit(resource.RLIMIT_AS)[0] > 0
reply([heard[0] if heard else "", room])
