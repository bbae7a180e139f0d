//! The one door for slow calls: release the interpreter, stay interruptible, map the error.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::control::Control;
use crate::{Error, Result};

create_exception!(_rust_ext, CorruptDataError, PyValueError, "A file is not what it claims to be.");
create_exception!(_rust_ext, TokenizerError, PyValueError, "A tokenizer file is not understood.");

/// How often the waiting interpreter looks for signals and reports progress.
const POLL: Duration = Duration::from_millis(100);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Argument(message) => PyValueError::new_err(message),
            Error::Io { path, source } => {
                // With errno, message and file name Python picks the right subclass of OSError.
                let text = source.to_string();
                let text = text.split(" (os error").next().unwrap_or_default().to_owned();
                let path = path.display().to_string();
                match source.raw_os_error() {
                    Some(code) => PyOSError::new_err((code, text, path)),
                    None => PyOSError::new_err(format!("{path}: {text}")),
                }
            }
            Error::Corrupt { .. } => CorruptDataError::new_err(error.to_string()),
            Error::Tokenizer { .. } => TokenizerError::new_err(error.to_string()),
            Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        }
    }
}

/// Runs `job` on a thread of its own without the interpreter, and returns what it gives.
///
/// Every 100 ms the calling thread takes the interpreter back, looks for signals and calls
/// `progress(records, text_bytes)`. A signal handler or callback that raises cancels the job, and
/// its exception is what the caller gets.
pub(super) fn run<T: Send>(
    py: Python<'_>,
    progress: Option<&Py<PyAny>>,
    job: impl FnOnce(&Control) -> Result<T> + Send,
) -> PyResult<T> {
    let control = Arc::new(Control::default());
    let shared = Arc::clone(&control);
    py.detach(move || {
        thread::scope(|scope| {
            let (done, finished) = crossbeam_channel::bounded::<()>(0);
            let inner = Arc::clone(&shared);
            let worker = scope.spawn(move || {
                let _done = done; // dropped when the job ends, which wakes the wait below
                job(&inner)
            });
            let mut raised: Option<PyErr> = None;
            while matches!(
                finished.recv_timeout(POLL),
                Err(crossbeam_channel::RecvTimeoutError::Timeout)
            ) {
                if raised.is_some() {
                    continue;
                }
                let looked = Python::attach(|py| -> PyResult<()> {
                    py.check_signals()?;
                    if let Some(report) = progress {
                        report.call1(py, control.done())?;
                    }
                    Ok(())
                });
                if let Err(error) = looked {
                    control.cancel();
                    raised = Some(error);
                }
            }
            let outcome = worker.join();
            if let Some(error) = raised {
                return Err(error);
            }
            match outcome {
                Ok(result) => {
                    let value = result?;
                    if let Some(report) = progress {
                        Python::attach(|py| report.call1(py, control.done()))?;
                    }
                    Ok(value)
                }
                Err(_) => Err(PyRuntimeError::new_err(
                    "a worker thread panicked; this is a bug, its message is on stderr",
                )),
            }
        })
    })
}
