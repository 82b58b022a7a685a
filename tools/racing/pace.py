"""How fast a model of ours trains, and the end of its training by the clock."""

import keras


class Pace(keras.callbacks.Callback):
    """Ends training with the step in which `until` seconds of a `Clock` are over, and `least` steps are done."""

    def __init__(self, clock, until, least=1):
        super().__init__()
        self.clock, self.until, self.least = clock, until, least
        self.before = 0  # steps of the epochs that are over
        self.marks = []  # of each whole step, or of each execution of several: steps, seconds on the clock

    def on_epoch_begin(self, epoch, logs=None):
        self.before = self.marks[-1][0] if self.marks else 0

    def on_train_batch_end(self, batch, logs=None):
        steps = self.before + batch + 1
        self.marks.append((steps, self.clock.elapsed))
        if self.marks[-1][1] >= self.until and steps >= self.least:
            self.model.stop_training = True

    @property
    def seconds_a_step(self):
        """Without the first, which compiles."""
        (first, start), (last, end) = self.marks[0], self.marks[-1]
        return (end - start) / (last - first)
