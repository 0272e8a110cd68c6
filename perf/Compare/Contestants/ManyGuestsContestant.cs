using VmShunt.Perf.Compare.Model;
using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;
using VmShunt.Perf.Measure;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>Many concurrent guests, each a process, on one VM-H. They wait adaptively, as guests do by default.</summary>
internal sealed class ManyGuestsContestant : Contestant
{
    private readonly IReadOnlyList<BusGuest> _guests;
    private readonly Workload _workload;
    private readonly SectorRange _range;

    /// <param name="session">The run.</param>
    /// <param name="guests">Guests of one back-end.</param>
    /// <param name="workload">The workload of each guest.</param>
    internal ManyGuestsContestant(CompareSession session, IReadOnlyList<BusGuest> guests, Workload workload)
        : base("VM-H memory, adaptive", Given(session, guests, workload))
    {
        _guests = guests;
        _workload = workload;
        _range = new SectorRange(0, guests[0].BackEnd.Disk.Bytes / 512);
    }

    internal override async Task<Sample> MeasureAsync(TimeSpan duration)
    {
        var backEnd = _guests[0].BackEnd.ProcessId;
        var host = ProcessorTime.Of(backEnd);
        BenchAnswer[] answers = await Task.WhenAll(_guests.Select(guest => guest.BenchAsync(_workload.BusCommand(duration, _range), duration)));
        host = ProcessorTime.Of(backEnd) - host;
        double requests = answers.Sum(static answer => answer.Requests);
        return new Sample(
            answers.Sum(static answer => answer.Iops), null, null, null,
            answers.Sum(static answer => answer.GuestCpuMicrosecondsPerRequest * answer.Requests) / requests, host / requests / 1000, 0);
    }

    private static Inputs Given(CompareSession session, IReadOnlyList<BusGuest> guests, Workload workload)
    {
        var disk = guests[0].BackEnd.Disk;
        return RingContestant.Given(session, disk, workload, new SectorRange(0, disk.Bytes / 512)) with
        {
            Generator = "vmshunt-guest --poll adaptive",
            Guests = guests.Count,
            Seconds = session.Options.ManyGuestsTurn.TotalSeconds,
        };
    }
}
