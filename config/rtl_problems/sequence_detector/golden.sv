module sequence_detector (
  input  logic clk,
  input  logic rst_n,
  input  logic valid,
  input  logic bit_in,
  output logic found
);
  localparam logic [2:0] NONE = 3'd0, ONE = 3'd1, ONE_ZERO = 3'd2, ONE_ZERO_ONE = 3'd3, FOUND = 3'd4;

  logic [2:0] state, next;

  always_comb begin
    case (state)
      NONE:         next = bit_in ? ONE : NONE;
      ONE:          next = bit_in ? ONE : ONE_ZERO;
      ONE_ZERO:     next = bit_in ? ONE_ZERO_ONE : NONE;
      ONE_ZERO_ONE: next = bit_in ? FOUND : ONE_ZERO;
      default:      next = bit_in ? ONE : ONE_ZERO;  // after 1011
    endcase
  end

  always_ff @(posedge clk or negedge rst_n) begin
    if (!rst_n) begin
      state <= NONE;
      found <= 1'b0;
    end else if (valid) begin
      state <= next;
      found <= next == FOUND;
    end else begin
      found <= 1'b0;  // pause
    end
  end
endmodule
