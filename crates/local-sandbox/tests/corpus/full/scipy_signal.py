# answer: [[2, 6], 5.0, true, [1.0, 3.0, 5.0, 3.0], 50, 0.0]
import numpy as np
from scipy import signal

peaks, _ = signal.find_peaks([0, 1, 3, 1, 0, 2, 6, 2, 0], height=2)
t = np.arange(0, 2, 0.01)
wave = np.sin(2 * np.pi * 5 * t)
frequencies, power = signal.periodogram(wave, fs=100)
b, a = signal.butter(3, 0.2)
filtered = signal.filtfilt(b, a, wave)
smooth = signal.savgol_filter(wave, 11, 3)
spectrum = signal.welch(wave, fs=100, nperseg=100)
flat = signal.detrend(np.arange(10.0))
reply([
    [int(p) for p in peaks], float(frequencies[power.argmax()]),
    bool(abs(filtered).max() < 1.1 and abs(smooth - wave).max() < 0.1 and spectrum[0][spectrum[1].argmax()] == 5.0),
    [float(v) for v in signal.convolve([1, 2, 3], [1, 1])], len(signal.resample(wave, 50)), round(float(abs(flat).max()), 9),
])
