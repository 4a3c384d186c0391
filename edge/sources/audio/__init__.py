"""Audio: WAV files and microphones, cut into the frames that a model of waveforms takes."""
