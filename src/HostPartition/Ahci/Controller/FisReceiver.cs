using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.AhciBackend.Controller;

/// <summary>Writes the device's FISes into the memory that a port receives them in (AHCI 1.3.1 §4.2.1).</summary>
internal static class FisReceiver
{
    /// <summary>Posts a Set Device Bits FIS.</summary>
    /// <param name="memory">The guest's memory.</param>
    /// <param name="address">PxFB.</param>
    /// <param name="status">The device's status.</param>
    /// <param name="error">Its error.</param>
    /// <param name="tags">The queued commands that are complete.</param>
    /// <returns>False when the address is not in the memory.</returns>
    internal static bool TryPost(GuestMemory memory, ulong address, AtaStatus status, AtaError error, uint tags) =>
        memory.TryWrite(address + ReceivedFis.SDBFIS, new SetDeviceBitsFis
        {
            Type = FisType.SetDeviceBits,
            Flags = FisFlags.I,
            Status = status & AtaStatus.SetDeviceBits,
            Error = error,
            SActive = tags,
        });

    /// <summary>Posts the FIS that reports a result: PIO Setup, or Register Device to Host.</summary>
    /// <returns>False when the address is not in the memory.</returns>
    internal static bool TryPost(GuestMemory memory, ulong address, in AtaResult result)
    {
        if (result.Report == AtaReport.PioSetup)
        {
            return memory.TryWrite(address + ReceivedFis.PSFIS, new PioSetupFis
            {
                Type = FisType.PioSetup,
                Flags = FisFlags.D | FisFlags.I,
                Status = result.Status | AtaStatus.DRQ,
                Address = result.Address with { FeaturesHigh = 0 },
                EStatus = result.Status,
                TransferCount = HostClassDriver.SectorBytes,
            });
        }
        return memory.TryWrite(address + ReceivedFis.RFIS, new DeviceToHostFis
        {
            Type = FisType.RegisterD2H,
            Flags = result.Report == AtaReport.Register ? FisFlags.I : FisFlags.None,
            Status = result.Status,
            Error = result.Error,
            Address = result.Address with { FeaturesHigh = 0 },
        });
    }
}
