using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Ring.Memory;

public class OrderedTests
{
    private const int Rounds = 2_000;

    private int _data, _turn, _number;
    private long _long;
    private bool _flag;
    private string? _text;

    [Fact]
    public void A_thread_that_loads_a_value_sees_the_writes_before_its_store()
    {
        var other = new Thread(() =>
        {
            for (var i = 0; i < Rounds; i++) TakeTurn(2 * i + 1);
        });
        other.Start();
        for (var i = 0; i < Rounds; i++)
        {
            TakeTurn(2 * i);
        }
        other.Join();
        Assert.Equal(2 * Rounds, _data);

        void TakeTurn(int turn)
        {
            SpinWait.SpinUntil(() => Ordered.Load(ref _turn) == turn);
            // No lock: only the order of the turns makes this exact.
            _data++;
            Ordered.Store(ref _turn, turn + 1);
        }
    }

    [Fact]
    public void Each_type_loads_what_was_stored()
    {
        Ordered.Store(ref _number, -5);
        Ordered.Store(ref _long, long.MinValue);
        Ordered.Store(ref _flag, true);
        Ordered.Store(ref _text, "x");
        Assert.Equal((-5, long.MinValue, true, "x"), (Ordered.Load(ref _number), Ordered.Load(ref _long), Ordered.Load(ref _flag), Ordered.Load(ref _text)));
        Ordered.Store(ref _text, null);
        Assert.Null(Ordered.Load(ref _text));
    }
}
