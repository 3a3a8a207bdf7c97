// IMFIT asks this function how many threads its FFT may use, whatever `maxThreads` says. Opened before pyimfit with
// its symbols global, this library answers in place of IMFIT's own function, which counts the cores of the machine.
int GetPhysicalCoreCount() { return 1; }
