// A steady quarter of a second. In a worker, because browsers slow the timers of pages that nobody looks at.
setInterval(() => postMessage(0), 250);
