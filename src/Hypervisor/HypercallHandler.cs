using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>Carries out hypercalls: code in RCX, parameters in RDX, R8 and R9; see <see cref="Hypercall"/>.</summary>
internal static class HypercallHandler
{
    /// <summary>Carries out one hypercall and writes its results to the registers.</summary>
    /// <param name="partition">The caller's partition.</param>
    /// <param name="processor">The caller.</param>
    /// <param name="state">The processor's registers.</param>
    /// <param name="descriptor">A descriptor to send with the resume record, not to be disposed; or null.</param>
    /// <param name="log">The log.</param>
    /// <returns>False when the partition was powered off, so the processor does not resume.</returns>
    /// <exception cref="IOException">VM-H failed.</exception>
    internal static bool TryCarryOut(Partition partition, ProcessorThread processor, ref ProcessorState state, out SafeHandle? descriptor, ILogger log)
    {
        descriptor = null;
        var status = HypercallStatus.Success;
        switch (state.Rcx)
        {
            case Hypercall.Identify:
                state.Rbx = Hypercall.SignatureLow;
                state.Rcx = Hypercall.SignatureHigh;
                state.Rdx = Hypercall.Highest;
                break;
            case Hypercall.QueryBus:
                status = QueryBus(partition, ref state);
                break;
            case Hypercall.OpenBus:
                status = OpenBus(partition, state.Rdx, out descriptor);
                break;
            case Hypercall.CloseBus:
                status = TryFind(partition, state.Rdx, out var offer) ? offer.Revoke() : HypercallStatus.BadParameter;
                break;
            case Hypercall.Counters:
                if (state.Rdx <= (ulong)ExitReason.Halt) state.Rbx = (ulong)partition.Exits.Of((ExitReason)state.Rdx);
                else status = HypercallStatus.BadParameter;
                break;
            case Hypercall.Crash:
                if (partition.TryCrash(processor, out var others)) state.Rbx = (ulong)CrashSequence.Run(partition, others, state.Rdx, log);
                break;
            case Hypercall.PowerOff:
                return false;
            default:
                status = HypercallStatus.UnknownCode;
                break;
        }
        state.Rax = (ulong)status;
        return true;
    }

    private static HypercallStatus QueryBus(Partition partition, ref ProcessorState state)
    {
        if (!TryFind(partition, state.Rdx, out var offer)) return HypercallStatus.BadParameter;
        state.Rbx = offer.IsOffered ? 1u : 0u;
        state.Rcx = offer.IsOpen ? 1u : 0u;
        return HypercallStatus.Success;
    }

    private static HypercallStatus OpenBus(Partition partition, ulong device, out SafeHandle? channel)
    {
        channel = null;
        if (!TryFind(partition, device, out var offer)) return HypercallStatus.BadParameter;
        return partition.HasCrashed ? HypercallStatus.Crashed : offer.Open(out channel);
    }

    private static bool TryFind(Partition partition, ulong device, out BusOffer offer)
    {
        var known = device < (ulong)partition.Offers.Length;
        offer = known ? partition.Offers[(int)device] : null!;
        return known;
    }
}
