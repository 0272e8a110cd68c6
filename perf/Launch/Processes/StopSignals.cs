using System.Runtime.InteropServices;

namespace VmShunt.Perf.Launch;

/// <summary>Turns SIGINT, SIGTERM and SIGHUP into a cancellation, so that the program can clean up before it exits.</summary>
internal sealed class StopSignals : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;

    internal StopSignals() => _registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Stop(context, Signal.Interrupt)),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Stop(context, Signal.Terminate)),
        PosixSignalRegistration.Create(PosixSignal.SIGHUP, context => Stop(context, Signal.HangUp)),
    ];

    internal CancellationToken Token => _source.Token;

    /// <summary>128 + the signal that arrived, as a shell reports it; null without a signal.</summary>
    internal int? ExitCode { get; private set; }

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
        _source.Dispose();
    }

    private void Stop(PosixSignalContext context, int signal)
    {
        context.Cancel = true;
        ExitCode = 128 + signal;
        _source.Cancel();
    }
}
