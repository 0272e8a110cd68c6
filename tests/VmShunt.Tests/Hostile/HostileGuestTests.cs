using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Hostile;

/// <summary>Hostile inputs of a guest to VM-H's virtio-blk device, in both ring layouts.</summary>
public class HostileGuestTests : IDisposable
{
    private static readonly Dictionary<string, IEnumerable<HostileCase>> s_sections = new()
    {
        ["A"] = HostileRings.SetUp,
        ["B"] = HostileRings.Available,
        ["C"] = HostileDescriptors.Direct,
        ["D"] = HostileDescriptors.Tables,
        ["E"] = HostileRequests.All,
    };

    private readonly ServedDisk _disk;

    public HostileGuestTests()
        : this(pollers: 0)
    {
    }

    private protected HostileGuestTests(int pollers) => _disk = ServedDisk.InMemory(pollers: pollers);

    public void Dispose()
    {
        _disk.Dispose();
        GC.SuppressFinalize(this);
    }

    public static TheoryData<string, string, string> Of(string section)
    {
        var data = new TheoryData<string, string, string>();
        foreach (var one in s_sections[section])
        {
            if (one.Layouts.Contains('s', StringComparison.Ordinal)) data.Add(section, one.Name, "split");
            if (one.Layouts.Contains('p', StringComparison.Ordinal)) data.Add(section, one.Name, "packed");
        }
        return data;
    }

    [Theory]
    [MemberData(nameof(Of), "A")]
    public void An_invalid_ring_set_up_is_refused_or_harms_only_its_guest(string section, string name, string layout) => Run(section, name, layout);

    [Theory]
    [MemberData(nameof(Of), "B")]
    public void A_hostile_available_ring_breaks_at_most_its_queue(string section, string name, string layout) => Run(section, name, layout);

    [Theory]
    [MemberData(nameof(Of), "C")]
    public void Hostile_descriptors_fail_their_request_or_break_their_queue(string section, string name, string layout) => Run(section, name, layout);

    [Theory]
    [MemberData(nameof(Of), "D")]
    public void Hostile_indirect_tables_break_their_queue(string section, string name, string layout) => Run(section, name, layout);

    [Theory]
    [MemberData(nameof(Of), "E")]
    public void A_request_of_any_form_gets_its_status_and_the_exact_used_length(string section, string name, string layout) => Run(section, name, layout);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_indirect_table_that_was_not_negotiated_breaks_the_queue(bool packed)
    {
        using var driver = new HandDriver(_disk.Connect(), packed, VirtioBlkFeatures.IndirectDescriptors).Start();
        HostileDescriptors.NotNegotiated.Run(driver);
    }

    private void Run(string section, string name, string layout)
    {
        using var driver = new HandDriver(_disk.Connect(), layout == "packed").Start();
        s_sections[section].Single(one => one.Name == name && one.Layouts.Contains(layout[0], StringComparison.Ordinal)).Run(driver);
        driver.Frontend.StopRing(0);
        Assert.Equal(1, Descriptors.Of(driver.Kick.Handle));
    }
}

/// <summary>The same inputs to a device that a poll group serves.</summary>
public sealed class PolledHostileGuestTests() : HostileGuestTests(pollers: 1);
