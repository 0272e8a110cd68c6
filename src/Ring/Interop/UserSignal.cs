using System.Runtime.InteropServices;

namespace VmShunt.Ring.Interop;

/// <summary>What the two user-defined signals (signal(7)) mean to our programs. .NET accepts them by number.</summary>
public static class UserSignal
{
    /// <summary>SIGUSR1: rescind the bus.</summary>
    public const PosixSignal Rescind = (PosixSignal)10;

    /// <summary>SIGUSR2: offer the bus again.</summary>
    public const PosixSignal Offer = (PosixSignal)12;
}
